"""Force fields that are not networks: the embedded reference, any ASE calculator."""
