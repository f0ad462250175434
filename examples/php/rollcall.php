<?php

// A client of Rollcall's v2 API, to be copied: PHP 8.2 or later, with its openssl
// and no other extension. A demonstration is below.
//
//   php rollcall.php CREDENTIALS-FILE

declare(strict_types=1);

/**
 * An answer with another code than 0. Match on getCode(), never on the message; by
 * $logUuid the operator of the service finds the request and why it was refused.
 */
final class RollcallException extends RuntimeException
{
    public function __construct(int $code, string $message, public readonly ?string $logUuid)
    {
        parent::__construct($message, $code);
    }
}

/** Calls for one agent. Under PHP-FPM share the access token, as in APCu: it is good for an hour. */
final class Rollcall
{
    private readonly string $key;
    private ?string $token = null;
    private float $goodUntil = 0;

    public function __construct(
        private readonly string $baseUrl,
        private readonly string $agentId,
        #[SensitiveParameter] string $apiKey,
        #[SensitiveParameter] private readonly string $secret,
    ) {
        // 1. The API key is 64 hex digits that stand for 32 bytes. Never use the 64
        //    characters: openssl_encrypt would take the first 32 without a word.
        if (!preg_match('/^[0-9a-f]{64}$/D', $apiKey)) {
            throw new InvalidArgumentException('the API key is not 64 lower-case hex digits');
        }
        $this->key = hex2bin($apiKey);
    }

    /**
     * The member's active sessions, oldest first. Where partial is true some may be
     * missing for the moment, so that none does not mean that nobody plays.
     *
     * @return array{active: list<array>, partial: bool}
     */
    public function checkSessions(string $username): array
    {
        [$active, $partial] = $this->call('/v2/members/sessions/check', ['username' => $username]);
        return ['active' => $active, 'partial' => $partial];
    }

    /** The usernames of the agent's members with an active session; up to 30 s old. */
    public function online(): array
    {
        return $this->call('/v2/members/online', [])[0]['userList'];
    }

    public function createMember(string $username): void
    {
        $this->call('/v2/members', ['username' => $username]);
    }

    /** Launches a game; send the member to gameLaunchUrl, and keep it to yourself. */
    public function openGame(array $launch): array
    {
        return $this->call('/v2/opengame', $launch)[0];
    }

    /** Ends all the member's sessions; no error where it has none. */
    public function kick(string $username): void
    {
        $this->call('/v2/members/sessions/logout', ['username' => $username]);
    }

    private function call(string $path, array $request): array
    {
        $fresh = $this->token === null || $this->now() >= $this->goodUntil;
        if ($fresh) {
            $this->login();
        }
        try {
            return $this->exchange($path, $request, $this->token);
        } catch (RollcallException $e) {
            if ($fresh || $e->getCode() !== 83) {
                throw $e;
            }
        }
        $this->login(); // the token from before may have been revoked: once more with another one
        return $this->exchange($path, $request, $this->token);
    }

    private function login(): void
    {
        $asked = $this->now();
        [$data] = $this->exchange('/v2/auth', ['agentId' => $this->agentId, 'secret' => $this->secret]);
        [$this->token, $this->goodUntil] = [$data['accessToken'], $asked + $data['expiresIn'] - 60];
    }

    private function now(): float
    {
        return hrtime(true) / 1e9;
    }

    /** Returns the answer's data, null where it has none, and whether it is partial. */
    private function exchange(string $path, #[SensitiveParameter] array $request, #[SensitiveParameter] ?string $token = null): array
    {
        [$status, $headers, $text] = $this->send($path, $request, $token);
        if ($status === 429 || $status === 503) { // too many calls, or no room: come again, once, when it says
            sleep(preg_match('/^retry-after: *([0-9]{1,9})$/mi', $headers, $found) ? min((int) $found[1], 60) : 1);
            [$status, $headers, $text] = $this->send($path, $request, $token);
        }
        $envelope = json_decode($text, true);
        if (!is_int($envelope['code'] ?? null)) {
            throw new UnexpectedValueException("POST $path: HTTP $status, and no answer of Rollcall");
        }
        if ($envelope['code'] !== 0) {
            throw new RollcallException($envelope['code'], $envelope['message'] ?? '', $envelope['logUUID'] ?? null);
        }
        return [$envelope['data'] ?? null, (bool) preg_match('/^x-sessions-partial: *true$/mi', $headers)];
    }

    /** Seals and signs anew each time: a nonce is good once. No redirect is followed. */
    private function send(string $path, #[SensitiveParameter] array $request, #[SensitiveParameter] ?string $token): array
    {
        // An empty array would become [], so it is made an object, {}.
        $cipherText = $this->seal(json_encode((object) $request, JSON_THROW_ON_ERROR));
        $timestamp = (string) (int) (microtime(true) * 1000); // 4. Milliseconds, 13 digits; time() has seconds.
        $nonce = bin2hex(random_bytes(16));
        $headers = [
            'Content-Type: application/json',
            "x-agentid: $this->agentId",
            "x-timestamp: $timestamp",
            "x-nonce: $nonce",
            'x-signature: ' . hash('sha256', "$this->agentId|$timestamp|$nonce|$cipherText"),
        ];
        if ($token !== null) {
            $headers[] = "Authorization: Bearer $token";
        }
        $body = json_encode(['cipherText' => $cipherText], JSON_UNESCAPED_SLASHES);
        return self::post(rtrim($this->baseUrl, '/') . $path, $headers, $body);
    }

    /** Returns the status, the headers, one a line, and the body. */
    private static function post(string $url, #[SensitiveParameter] array $headers, string $body): array
    {
        $http = ['method' => 'POST', 'header' => $headers, 'content' => $body,
            'timeout' => 10, 'follow_location' => 0, 'ignore_errors' => true]; // errors have bodies too
        $warnings = []; // a bad certificate, for one, is only told in these
        set_error_handler(function (int $level, string $text) use (&$warnings): bool {
            $warnings[] = $text;
            return true;
        });
        $stream = fopen($url, 'r', false, stream_context_create(['http' => $http]));
        restore_error_handler();
        if ($stream === false) {
            throw new RuntimeException("POST $url: " . implode('; ', $warnings));
        }
        $headers = implode("\n", stream_get_meta_data($stream)['wrapper_data']);
        $text = stream_get_contents($stream);
        fclose($stream);
        return [(int) explode(' ', $headers)[1], $headers, $text];
    }

    private function seal(#[SensitiveParameter] string $plaintext): string
    {
        $iv = random_bytes(12);
        $sealed = openssl_encrypt($plaintext, 'aes-256-gcm', $this->key, OPENSSL_RAW_DATA, $iv, $tag);
        // 2. The tag, 16 bytes, goes in front of the sealed bytes, not behind.
        // 3. Three base64 texts, one behind the other; not one over all the bytes.
        return base64_encode($iv) . base64_encode($tag) . base64_encode($sealed);
    }
}

// The demonstration, against a sandbox (make run). In your project, cut here.

function show(string $what, callable $call): void
{
    try {
        $result = $call() ?? 'done';
    } catch (RollcallException $e) {
        $result = "code {$e->getCode()}, {$e->getMessage()} (logUUID " . ($e->logUuid ? 'given' : 'missing') . ')';
    }
    echo "$what: $result\n";
}

function told(array $sessions): string
{
    $lines = array_map(function (array $session): string {
        $info = $session['sessionInfo'];
        $device = $info['deviceType'] === 1 ? 'on a PC' : 'on mobile';
        return "{$session['gamecode']}, {$session['mode']}, $device, from {$info['ipaddress']}, in {$info['currency']}";
    }, $sessions['active']);
    return (implode('; ', $lines) ?: 'no session') . ($sessions['partial'] ? ', but some may be missing' : '');
}

/** What the page of the sandbox's game does when the member's browser loads it. */
function openInBrowser(string $launchUrl): string
{
    [$page, $query] = explode('?', $launchUrl, 2);
    parse_str($query, $values);
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'ignore_errors' => true,
        'content' => json_encode(['token' => $values['token'], 'page' => 'example'])];
    $stream = fopen("$page/start", 'r', false, stream_context_create(['http' => $http]));
    return 'HTTP ' . explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
}

$credentials = json_decode(file_get_contents($argv[1]), true, flags: JSON_THROW_ON_ERROR);
['agentId' => $agentId, 'apiKey' => $apiKey, 'secret' => $secret] = $credentials['agents'][0];
$url = $credentials['baseUrl'];
$rollcall = new Rollcall($url, $agentId, $apiKey, $secret);
$name = 'new' . bin2hex(random_bytes(8));

$check = fn (string $username, Rollcall $client) => fn () => told($client->checkSessions($username));

show('check player001', $check('player001', $rollcall));
show('check nobody', $check('nobody', $rollcall));
show('check "not a name"', $check('not a name', $rollcall));
show('create a new member', fn () => $rollcall->createMember($name));
show('create it again', fn () => $rollcall->createMember($name));
// deviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
$launch = $rollcall->openGame(['username' => $name, 'gameCode' => 'VP_230001_1', 'launchType' => 2,
    'deviceType' => 1, 'ipaddress' => '203.0.113.7', 'lang' => 'en']);
$sent = str_contains($launch['gameLaunchUrl'], 'token=') ? 'a URL with a launch token' : 'no URL';
echo "launch VP_230001_1 for it: {$launch['mode']}, $sent\n";
show('check it', $check($name, $rollcall));
show("open the URL, as the member's browser does", fn () => openInBrowser($launch['gameLaunchUrl']));
show('check it', $check($name, $rollcall));
show('online', fn () => 'player001 is ' . (in_array('player001', $rollcall->online(), true) ? 'playing' : 'away'));
show('kick it', fn () => $rollcall->kick($name));
show('check it', $check($name, $rollcall));
show('check with another API key', $check('player001', new Rollcall($url, $agentId, str_repeat('00', 32), $secret)));
show('check with another Secret key', $check('player001', new Rollcall($url, $agentId, $apiKey, 'another')));
