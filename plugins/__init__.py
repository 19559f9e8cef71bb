"""Built-in plugins, written exactly as a stranger would write them."""
