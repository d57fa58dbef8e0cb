"""Suite ``families``: all six families of compression for vision-language models in one table."""
