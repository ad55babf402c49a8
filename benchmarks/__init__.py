"""Speed of mdbench against named peers, as ratios in one run (`make bench`)."""
