package conform

import (
	"embed"
	"encoding/json"
	"io/fs"
)

//go:embed vectors/*.json
var vectorFiles embed.FS

// Vectors returns the test vectors, for implementations in any language, and
// schema.json, which describes them: seal.json, refused.json (spec 4),
// signature.json, hmac.json, signature_refused.json (spec 3) and plaintext.json
// (spec 1.2, 6.1). docs/conform.md says how to use them.
func Vectors() fs.FS {
	files, err := fs.Sub(vectorFiles, "vectors")
	if err != nil {
		panic(err) // the path is valid
	}
	return files
}

// readVectors reads a file of the vectors into a T.
func readVectors[T any](name string) T {
	text, err := fs.ReadFile(Vectors(), name)
	var v T
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		panic(err) // it is embedded, and a test holds it to its schema
	}
	return v
}
