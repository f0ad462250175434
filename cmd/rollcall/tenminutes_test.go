package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A tenMinutes is docs/wire-in-ten-minutes.md.
type tenMinutes struct {
	text string
	// commands are its blocks for a shell, and printed what stands behind each: the
	// text of a marked block, or nothing.
	commands, printed []string
	// values are its marked blocks by their marks.
	values map[string]string
	// set are the variables of the shell that it starts with.
	set map[string]string
}

func readTenMinutes(t *testing.T) tenMinutes {
	t.Helper()
	text, err := os.ReadFile("../../docs/wire-in-ten-minutes.md")
	if err != nil {
		t.Fatal(err)
	}
	page := tenMinutes{text: string(text), values: map[string]string{}, set: map[string]string{}}
	block := regexp.MustCompile("(?ms)(?:^<!-- ([a-z0-9]+) -->\n)?^```([a-z]+)\n(.*?)^```$")
	for _, found := range block.FindAllStringSubmatch(page.text, -1) {
		mark, kind, body := found[1], found[2], found[3]
		switch {
		case kind == "sh":
			page.commands, page.printed = append(page.commands, body), append(page.printed, "")
		case mark == "" || page.values[mark] != "":
			t.Errorf("a block of %q has no mark of its own", kind)
		default:
			page.values[mark] = strings.TrimSuffix(body, "\n")
			if kind == "text" {
				page.printed[len(page.printed)-1] = body
			}
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^([A-Z]+)='?([^'$\n]+)'?$`).FindAllStringSubmatch(strings.Join(page.commands, ""), -1) {
		page.set[found[1]] = found[2]
	}
	return page
}

func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

func sha256Of(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sealRaw seals with the standard library alone, which puts the tag behind.
func sealRaw(t *testing.T, key, iv, plaintext []byte) (sealed, tag []byte) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	out := aead.Seal(nil, iv, plaintext, nil)
	return out[:len(plaintext)], out[len(plaintext):]
}

// Every value of the page is what the standard library makes of those it starts
// with, and what package wire takes.
func TestTenMinutesValues(t *testing.T) {
	page := readTenMinutes(t)
	v := page.set
	key, iv, plaintext := unhex(t, v["KEY"]), unhex(t, v["IV"]), []byte(v["PLAINTEXT"])
	sealed, tag := sealRaw(t, key, iv, plaintext)
	cipherText := base64Of(iv) + base64Of(tag) + base64Of(sealed)
	signed := strings.Join([]string{v["AGENT"], v["TIMESTAMP"], v["NONCE"], cipherText}, "|")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	body := `{"cipherText":"` + cipherText + `"}`
	want := map[string]string{
		"plaintext":  hex.EncodeToString(plaintext),
		"key":        strings.Trim(fmt.Sprintf("%d", key), "[]"),
		"seal":       fmt.Sprintf("iv     %x\ntag    %x\nsealed %x", iv, tag, sealed),
		"ctr":        hex.EncodeToString(sealed),
		"ciphertext": strings.Join([]string{base64Of(iv), base64Of(tag), base64Of(sealed), cipherText}, "\n"),
		"signature":  signed + "\n" + sha256Of(signed),
		"hmac":       hex.EncodeToString(mac.Sum(nil)),
		"request": "POST " + wire.PathSessionsCheck + " HTTP/1.1\nContent-Type: application/json\nAuthorization: Bearer <access token>\n" +
			"x-agentid: " + v["AGENT"] + "\nx-timestamp: " + v["TIMESTAMP"] + "\nx-nonce: " + v["NONCE"] + "\nx-signature: " + sha256Of(signed) + "\n\n" + body,
		"answer": page.values["answer"], // below
	}
	if diff := cmp.Diff(want, page.values); diff != "" {
		t.Errorf("-want +page:\n%s", diff)
	}
	takes(t, v, cipherText, sha256Of(signed), page.values["hmac"])
	answer := string(wire.AppendReply(nil, wire.CodeOK, wire.SessionsCheckResponse{exampleSession()}, "955585ed-adeb-436e-8be0-ebf2b81b7d15"))
	if got := strings.ReplaceAll(page.values["answer"], "\n ", ""); got != answer {
		t.Errorf("answer: got %s, want %s", got, answer)
	}
	holdMistakes(t, page, iv, sealed, tag, signed, body)
}

// holdMistakes holds the rows of the page's mistakes to what each looks like.
func holdMistakes(t *testing.T, page tenMinutes, iv, sealed, tag []byte, signed, body string) {
	t.Helper()
	v := page.set
	_, otherTag := sealRaw(t, []byte(v["KEY"][:32]), iv, []byte(v["PLAINTEXT"]))
	head, cipherText := signed[:strings.LastIndex(signed, "|")], signed[strings.LastIndex(signed, "|")+1:]
	n := v["NONCE"]
	for mistake, shown := range map[string][]string{
		"1": {hex.EncodeToString(otherTag)},
		"2": {base64Of(iv) + base64Of(sealed) + base64Of(tag)},
		"3": {base64Of(slices.Concat(iv, tag, sealed))},
		"4": {v["TIMESTAMP"][:10]},
		"5": {sha256Of(head + "|" + body), sha256Of(v["AGENT"] + v["TIMESTAMP"] + n + cipherText)},
		"6": {strings.Join([]string{n[:8], n[8:12], n[12:16], n[16:20], n[20:]}, "-")},
	} {
		for _, s := range shown {
			if row := page.mistake(mistake); !strings.Contains(row, s+"`") {
				t.Errorf("mistake %s: got %q, want %s in it", mistake, row, s)
			}
		}
	}
}

// mistake returns the row of one of the page's mistakes.
func (p tenMinutes) mistake(number string) string {
	_, row, _ := strings.Cut(p.text, "\n| "+number+" | ")
	row, _, _ = strings.Cut(row, "\n")
	return row
}

// takes holds the page's values to what a server takes.
func takes(t *testing.T, v map[string]string, cipherText, signature, hmacSignature string) {
	t.Helper()
	key, err := wire.ParseAPIKey(v["KEY"])
	if err != nil {
		t.Fatal(err)
	}
	if plaintext, err := key.Open(cipherText); err != nil || string(plaintext) != v["PLAINTEXT"] {
		t.Errorf("Open: got %q, %v", plaintext, err)
	}
	h := wire.Header{AgentID: v["AGENT"], Timestamp: v["TIMESTAMP"], Nonce: v["NONCE"], Signature: signature}
	if !h.VerifySignature(rollcall.SignaturePlain, nil, cipherText) {
		t.Error("the signature is refused")
	}
	h.Signature = hmacSignature
	if !h.VerifySignature(rollcall.SignatureHMAC, key, cipherText) {
		t.Error("the hmac signature is refused")
	}
}

func exampleSession() rollcall.Session {
	return rollcall.Session{
		Mode: rollcall.ModeReal, GameCode: "VP_230001_1", Device: rollcall.DevicePC, IP: netip.MustParseAddr("127.0.0.1"), Lang: "en",
		Username: "player001", Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletTransfer,
	}
}

// The commands of the page print what stands below them.
func TestTenMinutesCommands(t *testing.T) {
	t.Parallel()
	page := readTenMinutes(t)
	python := pythonWithCryptography()
	if _, err := exec.LookPath("openssl"); err != nil || python == "" {
		missing(t, "no openssl in PATH, or no python3 with cryptography", "openssl python3-cryptography")
	}
	const end = "== end of the block\n"
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-u", "-c", strings.Join(page.commands, "printf '"+strings.TrimSpace(end)+"\\n'\n"))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(python)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(page.printed, strings.Split(string(out), end)); diff != "" {
		t.Errorf("-page +printed:\n%s", diff)
	}
}
