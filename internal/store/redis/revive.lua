-- Gives sessions of one partition a lease afresh which ran out while nobody could
-- renew it.
--
-- KEYS  the sessions of homes (s). Of each session the index (i) is changed too,
--       which is in the same slot; its name is in the session.
-- ARGV  1 now, Unix us
--       2 the beginning of the indexes' keys
--       3, 4 and so on in pairs: the number of a key, and the ID of a session
--
-- Returns how many sessions have one now; those whose lifetime is over have none.
local now, index = tonumber(ARGV[1]), ARGV[2]

local function revive(key, id)
  local value = redis.call('GET', key)
  local at = 1
  while value and at < #value do
    local length = struct.unpack('>I2', value, at)
    if length == 0 then return 0 end -- damaged
    if string.sub(value, at + 2, at + 17) == id then
      local expires, _, ends, lease = struct.unpack('>I8I8I8I4', value, at + 18)
      if expires > now or ends <= now then return 0 end
      local n = string.byte(value, at + 46)
      local combo = string.sub(value, at + 47, at + 46 + n)
      local name = string.byte(value, at + 47 + n)
      local username = string.sub(value, at + 48 + n, at + 47 + n + name)
      expires = math.min(now + lease * 1000000, ends)
      redis.call('SETRANGE', key, at + 17, struct.pack('>I8', expires))
      redis.call('ZADD', index .. combo, 'XX', string.format('%.0f', expires), id .. username)
      return 1
    end
    at = at + length
  end
  return 0
end

local revived = 0
for i = 3, #ARGV, 2 do
  revived = revived + revive(KEYS[tonumber(ARGV[i])], ARGV[i + 1])
end
return revived
