// A client of Rollcall's v2 API, to be copied: JDK 17 or later, no libraries. A
// demonstration is below.
//
//   java Rollcall.java CREDENTIALS-FILE

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Calls for one agent. Threads may share it: they use one access token. */
public final class Rollcall {
    /**
     * An answer with another code than 0. Match on code, never on the message; by its
     * logUUID the operator of the service finds the request and why it was refused.
     */
    public static final class RollcallException extends IOException {
        private static final long serialVersionUID = 1;
        public final int code;
        public final String logUUID;

        RollcallException(int code, String message, String logUUID) {
            super(message);
            this.code = code;
            this.logUUID = logUUID;
        }
    }

    /** One active session. deviceType is 1 for a PC and 2 for mobile. */
    public record Session(String gameCode, String mode, int deviceType, String ipAddress, String currency) {
        static Session of(Object json) {
            var outer = object(json);
            var info = object(outer.get("sessionInfo"));
            return new Session((String) outer.get("gamecode"), (String) outer.get("mode"), ((Number) info.get("deviceType")).intValue(),
                    (String) info.get("ipaddress"), (String) info.get("currency"));
        }
    }

    /**
     * What checkSessions has found: the active sessions, oldest first. Where partial is
     * true some may be missing for the moment, so that none does not mean nobody plays.
     */
    public record Sessions(List<Session> active, boolean partial) {}

    /** Where to send the member; keep the URL to yourself, it is all that is needed to play. */
    public record Launch(String url, String mode) {}

    private record Answer(Object data, boolean partial) {}

    private static final SecureRandom RANDOM = new SecureRandom();
    private static final HttpClient HTTP = // which follows no redirect
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();

    private final String baseUrl;
    private final String agentId;
    private final String secret;
    private final SecretKeySpec key;
    private String token;
    private long goodUntil; // by System.nanoTime

    public Rollcall(String baseUrl, String agentId, String apiKey, String secret) {
        // 1. The API key is 64 hex digits that stand for 32 bytes. Never use the 64
        //    characters as the key, nor the first 32 of them.
        if (!apiKey.matches("[0-9a-f]{64}")) {
            throw new IllegalArgumentException("the API key is not 64 lower-case hex digits");
        }
        this.key = new SecretKeySpec(HexFormat.of().parseHex(apiKey), "AES");
        this.baseUrl = baseUrl.replaceAll("/+$", "");
        this.agentId = agentId;
        this.secret = secret;
    }

    public Sessions checkSessions(String username) throws IOException, InterruptedException {
        var answer = call("/v2/members/sessions/check", Map.of("username", username));
        return new Sessions(((List<?>) answer.data()).stream().map(Session::of).toList(), answer.partial());
    }

    /** The usernames of the agent's members with an active session; up to 30 s old. */
    public List<String> online() throws IOException, InterruptedException {
        var data = object(call("/v2/members/online", Map.of()).data());
        return ((List<?>) data.get("userList")).stream().map(String.class::cast).toList();
    }

    public void createMember(String username) throws IOException, InterruptedException {
        call("/v2/members", Map.of("username", username));
    }

    /** Launches a game: username, gameCode, launchType, deviceType, ipaddress, lang. */
    public Launch openGame(Map<String, ?> launch) throws IOException, InterruptedException {
        var data = object(call("/v2/opengame", launch).data());
        return new Launch((String) data.get("gameLaunchUrl"), (String) data.get("mode"));
    }

    /** Ends all the member's sessions; no exception where it has none. */
    public void kick(String username) throws IOException, InterruptedException {
        call("/v2/members/sessions/logout", Map.of("username", username));
    }

    private Answer call(String path, Map<String, ?> request) throws IOException, InterruptedException {
        var before = heldToken();
        if (before != null) {
            try {
                return exchange(path, request, before);
            } catch (RollcallException e) {
                if (e.code != 83) {
                    throw e;
                }
            }
        }
        // None, or one that is refused, as after a revocation: once more with another.
        return exchange(path, request, newToken(before));
    }

    private synchronized String heldToken() {
        return token != null && System.nanoTime() - goodUntil < 0 ? token : null;
    }

    /** One thread fetches, the others wait for it. */
    private synchronized String newToken(String refused) throws IOException, InterruptedException {
        var held = heldToken();
        if (held != null && !held.equals(refused)) {
            return held;
        }
        long asked = System.nanoTime();
        var data = object(exchange("/v2/auth", Map.of("agentId", agentId, "secret", secret), null).data());
        token = (String) data.get("accessToken");
        goodUntil = asked + Duration.ofSeconds(((Number) data.get("expiresIn")).longValue() - 60).toNanos();
        return token;
    }

    private Answer exchange(String path, Map<String, ?> request, String token) throws IOException, InterruptedException {
        var answer = send(path, request, token);
        if (answer.statusCode() == 429 || answer.statusCode() == 503) { // too many calls, or no room: come again, once, when it says
            var after = answer.headers().firstValue("Retry-After").filter(s -> s.matches("[0-9]{1,9}")).orElse("1");
            Thread.sleep(1000L * Math.min(Integer.parseInt(after), 60));
            answer = send(path, request, token);
        }
        if (!(Json.read(answer.body()) instanceof Map<?, ?> envelope) || !(envelope.get("code") instanceof Number code)) {
            throw new IOException("POST " + path + ": HTTP " + answer.statusCode() + ", and no answer of Rollcall");
        }
        if (code.intValue() != 0) {
            throw new RollcallException(code.intValue(), (String) envelope.get("message"), (String) envelope.get("logUUID"));
        }
        return new Answer(envelope.get("data"), answer.headers().firstValue("X-Sessions-Partial").orElse("").equals("true"));
    }

    /** Seals and signs anew each time: a nonce is good once. */
    private HttpResponse<String> send(String path, Map<String, ?> request, String token) throws IOException, InterruptedException {
        var timestamp = Long.toString(System.currentTimeMillis()); // 4. Milliseconds, 13 digits; not seconds.
        var nonce = HexFormat.of().formatHex(random(16));
        String cipherText, signature;
        try {
            cipherText = seal(Json.write(request).getBytes(StandardCharsets.UTF_8));
            signature = sha256(String.join("|", agentId, timestamp, nonce, cipherText));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e); // every JDK has AES-GCM and SHA-256
        }
        var post = HttpRequest.newBuilder(URI.create(baseUrl + path)).timeout(Duration.ofSeconds(10))
                .header("Content-Type", "application/json").header("x-agentid", agentId).header("x-timestamp", timestamp)
                .header("x-nonce", nonce).header("x-signature", signature)
                .POST(HttpRequest.BodyPublishers.ofString(Json.write(Map.of("cipherText", cipherText))));
        if (token != null) {
            post.header("Authorization", "Bearer " + token);
        }
        return HTTP.send(post.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    }

    private String seal(byte[] plaintext) throws GeneralSecurityException {
        var iv = random(12);
        var cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, iv));
        // 2. Java puts the 16 bytes of the tag behind; here the tag goes in front.
        var out = cipher.doFinal(plaintext);
        var sealed = Arrays.copyOf(out, out.length - 16);
        var tag = Arrays.copyOfRange(out, out.length - 16, out.length);
        // 3. Three base64 texts, one behind the other; not one over all the bytes.
        var base64 = Base64.getEncoder();
        return base64.encodeToString(iv) + base64.encodeToString(tag) + base64.encodeToString(sealed);
    }

    private static String sha256(String text) throws GeneralSecurityException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static byte[] random(int size) {
        var bytes = new byte[size];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    private static Map<?, ?> object(Object json) {
        return (Map<?, ?>) json;
    }

    /** Just enough JSON, since the JDK has none. Use your project's library instead. */
    private static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static String write(Map<String, ?> object) {
            return object.entrySet().stream()
                    .map(e -> quote(e.getKey()) + ":" + (e.getValue() instanceof Number n ? n.toString() : quote((String) e.getValue())))
                    .collect(Collectors.joining(",", "{", "}"));
        }

        private static String quote(String s) {
            return s.chars().mapToObj(c -> c < ' ' || c == '"' || c == '\\'
                    ? "\\u00" + HexFormat.of().toHexDigits((byte) c) : Character.toString(c)).collect(Collectors.joining("", "\"", "\""));
        }

        /** Returns a Map, List, String, Double, Boolean or null; null also for what is no JSON. */
        static Object read(String text) {
            try {
                var json = new Json(text);
                var value = json.value(0);
                return json.peek() == 0 ? value : null;
            } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
                return null;
            }
        }

        private Object value(int depth) {
            if (depth > 32) {
                throw new IllegalArgumentException("nested too deep");
            }
            char first = peek();
            if (first == '{') {
                var object = new HashMap<String, Object>();
                for (char c = first; take(c); c = ',') {
                    if (c == ',' || peek() != '}') {
                        var name = string();
                        want(':');
                        object.put(name, value(depth + 1));
                    }
                }
                want('}');
                return object;
            }
            if (first == '[') {
                var array = new ArrayList<Object>();
                for (char c = first; take(c); c = ',') {
                    if (c == ',' || peek() != ']') {
                        array.add(value(depth + 1));
                    }
                }
                want(']');
                return array;
            }
            return first == '"' ? string() : literal();
        }

        private String string() {
            var out = new StringBuilder();
            for (want('"'); text.charAt(at) != '"'; at++) {
                char c = text.charAt(at);
                if (c == '\\') {
                    c = text.charAt(++at);
                    int escape = "bfnrt".indexOf(c);
                    if (c == 'u') {
                        c = (char) HexFormat.fromHexDigits(text, at + 1, at + 5);
                        at += 4;
                    } else if (escape >= 0) {
                        c = "\b\f\n\r\t".charAt(escape);
                    }
                }
                out.append(c);
            }
            at++;
            return out.toString();
        }

        private Object literal() {
            int start = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            var word = text.substring(start, at);
            return switch (word) {
                case "true", "false" -> word.equals("true");
                case "null" -> null;
                default -> Double.valueOf(word.matches("[-+.0-9eE]+") ? word : ""); // no NaN and no 1d
            };
        }

        /** Skips white space and returns what comes then; 0 at the end. */
        private char peek() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return at < text.length() ? text.charAt(at) : 0;
        }

        private boolean take(char c) {
            boolean there = peek() == c;
            at += there ? 1 : 0;
            return there;
        }

        private void want(char c) {
            if (!take(c)) {
                throw new IllegalArgumentException("want " + c);
            }
        }
    }

    // The demonstration, against a sandbox (make run). In your project, cut here.

    public static void main(String[] args) throws Exception {
        var credentials = object(Json.read(Files.readString(Path.of(args[0]))));
        var agent = object(((List<?>) credentials.get("agents")).get(0));
        String url = (String) credentials.get("baseUrl"), id = (String) agent.get("agentId");
        String apiKey = (String) agent.get("apiKey"), secret = (String) agent.get("secret");
        var rollcall = new Rollcall(url, id, apiKey, secret);
        var name = "new" + HexFormat.of().formatHex(random(8));

        show("check player001", () -> told(rollcall.checkSessions("player001")));
        show("check nobody", () -> told(rollcall.checkSessions("nobody")));
        show("check \"not a name\"", () -> told(rollcall.checkSessions("not a name")));
        show("create a new member", () -> {
            rollcall.createMember(name);
            return "done";
        });
        show("create it again", () -> {
            rollcall.createMember(name);
            return "done";
        });
        // deviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
        var launch = rollcall.openGame(Map.of("username", name, "gameCode", "VP_230001_1", "launchType", 2,
                "deviceType", 1, "ipaddress", "203.0.113.7", "lang", "en"));
        var sent = launch.url().contains("token=") ? "a URL with a launch token" : "no URL";
        System.out.println("launch VP_230001_1 for it: " + launch.mode() + ", " + sent);
        show("check it", () -> told(rollcall.checkSessions(name)));
        show("open the URL, as the member's browser does", () -> openInBrowser(URI.create(launch.url())));
        show("check it", () -> told(rollcall.checkSessions(name)));
        show("online", () -> "player001 is " + (rollcall.online().contains("player001") ? "playing" : "away"));
        show("kick it", () -> {
            rollcall.kick(name);
            return "done";
        });
        show("check it", () -> told(rollcall.checkSessions(name)));
        var otherKey = new Rollcall(url, id, "00".repeat(32), secret);
        show("check with another API key", () -> told(otherKey.checkSessions("player001")));
        var otherSecret = new Rollcall(url, id, apiKey, "another");
        show("check with another Secret key", () -> told(otherSecret.checkSessions("player001")));
    }

    private static void show(String what, Callable<String> action) throws Exception {
        String result;
        try {
            result = action.call();
        } catch (RollcallException e) {
            result = "code " + e.code + ", " + e.getMessage() + " (logUUID " + (e.logUUID != null ? "given" : "missing") + ")";
        }
        System.out.println(what + ": " + result);
    }

    private static String told(Sessions sessions) {
        var lines = sessions.active().stream()
                .map(s -> String.join(", ", s.gameCode(), s.mode(), s.deviceType() == 1 ? "on a PC" : "on mobile",
                        "from " + s.ipAddress(), "in " + s.currency()))
                .collect(Collectors.joining("; "));
        return (lines.isEmpty() ? "no session" : lines) + (sessions.partial() ? ", but some may be missing" : "");
    }

    /** What the page of the sandbox's game does when the member's browser loads it. */
    private static String openInBrowser(URI launchUrl) throws IOException, InterruptedException {
        var token = launchUrl.getQuery().replaceFirst("^.*\\btoken=([^&]*).*$", "$1");
        var start = launchUrl.resolve(launchUrl.getPath() + "/start");
        var post = HttpRequest.newBuilder(start).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(Json.write(Map.of("token", token, "page", "example")))).build();
        return "HTTP " + HTTP.send(post, HttpResponse.BodyHandlers.discarding()).statusCode();
    }
}
