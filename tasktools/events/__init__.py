"""Follow what workers do by the events that they send."""
