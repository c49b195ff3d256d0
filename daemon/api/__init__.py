"""The HTTP side: routes, bearer token, request and response models, problems, health. Knows only the directory."""
