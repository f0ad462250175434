package store

import (
	"net/url"
	"strings"
)

func scheme(text string) string {
	name, _, _ := strings.Cut(text, ":")
	return strings.ToLower(name)
}

func isRedis(text string) bool {
	name, _, _ := strings.Cut(scheme(text), "+")
	switch name {
	case "redis", "rediss", "valkey", "valkeys", "unix":
		return true
	}
	return false
}

func isPostgres(text string) bool {
	name := scheme(text)
	return name == "postgres" || name == "postgresql"
}

// Redacted returns a store's URL to be shown: without who logs in, and without
// the values of parameters that are named like secrets. Of what is no URL
// nothing is shown.
func Redacted(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return ""
	case err != nil || strangeAt(u) || !isRedis(text) && !isPostgres(text):
		return "(hidden: it is no URL of a store)"
	}
	if u.User != nil {
		u.User = url.User(hidden)
	}
	u.RawQuery, u.Fragment, u.RawFragment = redactedQuery(u.RawQuery), "", ""
	return u.String()
}

// strangeAt reports whether an @ stands where none belongs: then a password with
// a /, # or ? in it seems to be a host and what follows.
func strangeAt(u *url.URL) bool {
	return u.Opaque != "" || strings.Contains(u.Path+u.Fragment+u.RawQuery, "@") || u.User != nil && strings.Contains(u.User.Username(), "/")
}

const hidden = "xxxxx"

// redactedQuery keeps the text as it was written but for secret values.
func redactedQuery(query string) string {
	var parts []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if plain = strings.ToLower(plain); err != nil || strings.Contains(plain, "pass") || strings.Contains(plain, "user") || strings.Contains(plain, "secret") {
			part = name + "=" + hidden
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "&")
}
