-- Renews leases of sessions of one partition.
--
-- KEYS  the sessions of homes (s). Of each session that is renewed its index (i)
--       is changed too, which is in the same slot; its name is in the session.
-- ARGV  1 now, Unix us
--       2 the game server, which has to hold them
--       3 the beginning of the indexes' keys
--       4, 5 and so on in pairs: the number of a key, and the ID of a session
--
-- Returns the numbers, from 1, of the sessions that were not renewed.
local now, server, index = tonumber(ARGV[1]), ARGV[2], ARGV[3]

local function renew(key, id)
  local value = redis.call('GET', key)
  local at = 1
  while value and at < #value do
    local length = struct.unpack('>I2', value, at)
    if length == 0 then return false end -- damaged: it would be read for ever
    if string.sub(value, at + 2, at + 17) == id then
      local expires, seen, ends, lease = struct.unpack('>I8I8I8I4', value, at + 18)
      local n = string.byte(value, at + 46)
      local combo = string.sub(value, at + 47, at + 46 + n)
      local name = string.byte(value, at + 47 + n)
      local username = string.sub(value, at + 48 + n, at + 47 + n + name)
      if expires <= now or string.match(combo, '^[^|]*|([^|]*)|') ~= server then return false end
      expires = math.max(expires, math.min(now + lease * 1000000, ends))
      redis.call('SETRANGE', key, at + 17, struct.pack('>I8I8', expires, math.max(seen, now)))
      -- XX, since a slot that is on its way to another server may have its index
      -- still there: a second one must not come to be here.
      redis.call('ZADD', index .. combo, 'XX', string.format('%.0f', expires), id .. username)
      return true
    end
    at = at + length
  end
  return false
end

local unknown = {}
for i = 4, #ARGV, 2 do
  if not renew(KEYS[tonumber(ARGV[i])], ARGV[i + 1]) then
    unknown[#unknown + 1] = (i - 2) / 2
  end
end
return unknown
