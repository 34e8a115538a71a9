"""What methods reach in the plane of a cycle: exact supports, matrices drawn there, cells hit."""
