"""The archive catalogue in an S3 bucket (Cloudflare R2), and the only room that talks to S3.

`Archives` is what the other rooms use; `config` makes its configuration from the settings.
"""
