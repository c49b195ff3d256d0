-- Put a QR code or pairing code on display, as the holder of the lease.
-- KEYS 1 code, 2 token
-- ARGV 1 the holder's token, 2 TTL in ms, then field, value, ...
-- RETURNS 1 written, -1 a newer token exists, -2 Redis lost our token
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
redis.call('DEL', KEYS[1])
if #ARGV > 2 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 3))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
