"""Choosing real images: rules on features, losses and training histories, and what is stored of the chosen ones."""
