-- Give each endpoint a group. The first ones begin at the oldest event, those that are added later with what comes.
-- KEYS 1 events, 2 counts
-- ARGV the groups
-- RETURNS the groups that are new
local known = {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for at = 1, #flat, 2 do
      if flat[at] == 'name' then
        known[flat[at + 1]] = true
      end
    end
  end
end
local start = redis.call('HEXISTS', KEYS[2], 'begun') == 1 and '$' or '0'
local new = {}
for _, group in ipairs(ARGV) do
  if not known[group] then
    redis.call('XGROUP', 'CREATE', KEYS[1], group, start, 'MKSTREAM')
    new[#new + 1] = group
  end
end
if known['webhooks'] then
  -- The one group of an older release, which removed what it had delivered.
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'webhooks')
end
redis.call('HSET', KEYS[2], 'begun', '1')
return new
