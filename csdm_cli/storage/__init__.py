"""Files: written whole or not at all, guarded by hashes, and never over what csdm did not write."""
