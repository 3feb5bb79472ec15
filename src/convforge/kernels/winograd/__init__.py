"""The same sums with fewer products: vectors along tiles of the map, or along output channels."""
