package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certCheckEvery is how often the certificate's files are looked at, at most.
const certCheckEvery = time.Second

// TLSConfig returns a configuration that serves the certificate of two PEM files
// and takes up a new one when the files change. Files that do not fit, as for a
// moment while they are replaced, leave the old certificate in use and are told
// to log.
func TLSConfig(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, now: now, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(), nil
		},
	}, nil
}

type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	cert    *tls.Certificate
	version [2]fileVersion // of the files that cert was read from, or that failed
	checked time.Time
}

// A fileVersion changes when a file does.
type fileVersion struct {
	modified time.Time
	size     int64
}

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certCheckEvery {
		c.checked = now
		if c.versions() != c.version {
			if err := c.load(); err != nil {
				c.log.Error("certificate not reloaded; the old one stays", slog.Any("error", err))
			} else {
				c.log.Info("certificate reloaded", slog.String("file", c.certFile))
			}
		}
	}
	return c.cert
}

func (c *certificate) load() error {
	c.version = c.versions()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert = &cert
	return nil
}

// versions has the zero version for a file that is not there.
func (c *certificate) versions() (v [2]fileVersion) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			v[i] = fileVersion{info.ModTime(), info.Size()}
		}
	}
	return v
}
