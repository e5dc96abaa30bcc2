"""Where readings are uploaded to, one file per kind of sink."""
