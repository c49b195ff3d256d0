-- Take the lease of a session if nobody holds it, or if its holder is a provably dead process of ours.
-- KEYS 1 lease, 2 token
-- ARGV 1 holder, 2 TTL in ms, 3 floor (the new token is above it), 4 prefix of holders that are known to be dead ('' none)
-- RETURNS {1, token} when taken, {0, present holder} when held
local held = redis.call('GET', KEYS[1])
if held then
  local dead = ARGV[4] ~= '' and string.sub(held, 1, #ARGV[4]) == ARGV[4]
  if not dead then
    return {0, held}
  end
end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[3]) then
  redis.call('SET', KEYS[2], ARGV[3])
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. token, 'PX', ARGV[2])
return {1, token}
