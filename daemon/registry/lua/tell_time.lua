-- Tell the time of the server that has the events.
-- KEYS 1 events
-- RETURNS seconds, microseconds
return redis.call('TIME')
