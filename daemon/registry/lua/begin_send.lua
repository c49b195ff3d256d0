-- Get the right to try to send under an idempotency key, or learn why not.
-- KEYS 1 send, 2 sends of the session
-- ARGV 1 fingerprint, 2 message id, 3 attempt, 4 how long the attempt may take (ms), 5 how long to remember (ms),
--      6 '1' if a key that is not known may have been lost, 7 the key's digest, 8 what the names of the session's send
--      keys begin with, 9 how many expired ones are removed at most
-- RETURNS a word, then the hash's fields and values: new, again (an earlier try did not send, or nobody knows), sent,
--   busy (then also the ms that the other try may still take), other (the key belongs to another message)
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ms, 'LIMIT', 0, ARGV[9])
for _, digest in ipairs(due) do
  redis.call('UNLINK', ARGV[8] .. digest)
  redis.call('ZREM', KEYS[2], digest)
end
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'state', 'until')
local known_expires = redis.call('ZSCORE', KEYS[2], ARGV[7])
local expires = ms + math.max(tonumber(ARGV[4]), tonumber(ARGV[5]))
if not known[1] or known_expires and ms >= tonumber(known_expires) then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'message_id', ARGV[2], 'state', 'pending', 'attempt', ARGV[3],
    'until', ms + tonumber(ARGV[4]), 'doubtful', ARGV[6])
  redis.call('ZADD', KEYS[2], expires, ARGV[7])
  return {'new', redis.call('HGETALL', KEYS[1])}
end
if known[1] ~= ARGV[1] then
  return {'other', {}}
end
if known[2] == 'sent' then
  return {'sent', redis.call('HGETALL', KEYS[1])}
end
if known[2] == 'pending' then
  local left = tonumber(known[3]) - ms
  if left > 0 then
    return {'busy', redis.call('HGETALL', KEYS[1]), left}
  end
end
if known[2] ~= 'not_sent' then
  redis.call('HSET', KEYS[1], 'doubtful', '1')
end
redis.call('HSET', KEYS[1], 'state', 'pending', 'attempt', ARGV[3], 'until', ms + tonumber(ARGV[4]))
redis.call('ZADD', KEYS[2], expires, ARGV[7])
return {'again', redis.call('HGETALL', KEYS[1])}
