-- Queues events for a game server, each of a session once.
--
-- KEYS  1 the last number given (n), 2 receipts (r), 3 pending (p), 4 the numbers
--       by session (s), 5 by time (t); then four for each kick (k, kd, ka, ks).
-- ARGV  1 the channel to wake streams on, 2 the game server, and then of each
--       event: its receipt as JSON, its session or nothing, when it was queued in
--       Unix us, the number of the first key of its kick, or 0, and what has
--       become of it: d delivered, a acknowledged, s settled, together or nothing.
local woken = false
for i = 3, #ARGV, 5 do
  local doc, session, queued, kick, become = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
  if session == '' or redis.call('HEXISTS', KEYS[4], session) == 0 then
    local n = redis.call('INCR', KEYS[1])
    redis.call('HSET', KEYS[2], n, doc)
    redis.call('ZADD', KEYS[5], queued, n)
    if not string.find(become, 'a') then
      redis.call('ZADD', KEYS[3], n, n)
      woken = true
    end
    if session ~= '' then redis.call('HSET', KEYS[4], session, n) end
    if kick > 0 then
      redis.call('ZADD', KEYS[kick], n, n)
      for k, letter in ipairs({'d', 'a', 's'}) do
        if not string.find(become, letter) then redis.call('ZADD', KEYS[kick + k], n, n) end
      end
    end
  end
end
if woken then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return 1
