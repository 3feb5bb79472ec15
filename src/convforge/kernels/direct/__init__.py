"""Any convolution or transposed one, its products as they are: along the map, or along output channels."""
