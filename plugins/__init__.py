"""The built-in plugins. They use the public plugin API only, as any other plugin does."""
