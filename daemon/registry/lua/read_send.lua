-- Read what is known of an idempotency key.
-- KEYS 1 send, 2 sends of the session
-- ARGV 1 the key's digest
-- RETURNS the hash's fields and values, nothing once it has expired; a try that nobody settled in its time reads as unknown
local known = redis.call('HMGET', KEYS[1], 'state', 'until')
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local expires = redis.call('ZSCORE', KEYS[2], ARGV[1])
if expires and ms >= tonumber(expires) then
  return {}
end
local found = redis.call('HGETALL', KEYS[1])
if known[1] == 'pending' and ms >= tonumber(known[2]) then
  for at = 1, #found, 2 do
    if found[at] == 'state' then
      found[at + 1] = 'unknown'
    end
  end
end
return found
