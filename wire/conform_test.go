package wire

import (
	"errors"
	"testing"

	"github.com/rollcall-server/rollcall"
)

type keyedVector struct {
	APIKey string
	signatureVector
}

func TestHMACVectors(t *testing.T) {
	vectors := readVectors[[]keyedVector](t, "hmac.json")
	if len(vectors) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors))
	}
	for _, v := range vectors {
		h := v.header()
		if !h.VerifySignature(rollcall.SignatureHMAC, mustKey(t, v.APIKey), v.CipherText) {
			t.Errorf("VerifySignature refuses %s", v.Signature)
		}
	}
}

func TestSignatureRefusedVectors(t *testing.T) {
	vectors := readVectors[[]struct {
		Why     string
		Profile rollcall.SignatureProfile
		keyedVector
	}](t, "signature_refused.json")
	if len(vectors) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors))
	}
	for _, v := range vectors {
		h, key := v.header(), mustKey(t, v.APIKey)
		if !v.Profile.Valid() || h.VerifySignature(v.Profile, key, v.CipherText) {
			t.Errorf("%s: accepted", v.Why)
		}
		h.Sign(v.Profile, key, v.CipherText)
		if !h.VerifySignature(v.Profile, key, v.CipherText) {
			t.Errorf("%s: the rest of the vector is not right", v.Why)
		}
	}
}

func TestPlaintextVectors(t *testing.T) {
	vectors := readVectors[[]struct {
		ID, Plaintext string
		Base64        []byte
		Code          Code
	}](t, "plaintext.json")
	if len(vectors) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors))
	}
	for _, v := range vectors {
		var r MemberRequest
		err := r.Decode(append(v.Base64, v.Plaintext...))
		if !errors.Is(err, v.Code.Err()) {
			t.Errorf("%s: got %v, want code %d", v.ID, err, v.Code)
		}
		if v.Code == CodeOK && r.Username != "player001" {
			t.Errorf("%s: got username %q", v.ID, r.Username)
		}
	}
}
