"""The API for people's programs under /api/v1: what pages show, and what lowers risk."""
