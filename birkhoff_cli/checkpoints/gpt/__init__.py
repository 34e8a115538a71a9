"""The nanoGPT family: its layout, the hyper-connections of mhc-lite, the language model around."""
