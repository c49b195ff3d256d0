-- Write how a try to send ended. What was sent stays sent, and what is doubtful is never called not sent.
-- One that has expired and is still there is written too: what was sent is worth knowing.
-- KEYS 1 send, 2 sends of the session
-- ARGV 1 attempt, 2 state, 3 how long to remember (ms), 4 the key's digest, then field, value, ...
-- RETURNS 1 written, 0 another attempt has it now, or it is settled
local known = redis.call('HMGET', KEYS[1], 'attempt', 'state', 'doubtful')
if not known[1] or known[2] == 'sent' then
  return 0
end
local state = ARGV[2]
if state ~= 'sent' and known[1] ~= ARGV[1] then
  return 0
end
if state == 'unknown' then
  redis.call('HSET', KEYS[1], 'doubtful', '1')
elseif state == 'not_sent' and known[3] == '1' then
  state = 'unknown'
end
local now = redis.call('TIME')
local expires = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'state', state)
if #ARGV > 4 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 5))
end
redis.call('ZADD', KEYS[2], expires, ARGV[4])
return 1
