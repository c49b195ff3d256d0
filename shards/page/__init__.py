"""The WhatsApp Web page: wa-js and a bridge in it, its state, messages in and out. Knows nothing of leases or Redis."""
