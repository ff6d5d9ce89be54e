"""The structural merge: what the template changed, carried into what the owner made of it."""
