"""Sites of a model: how far their matrices mix, and the verdict on them."""
