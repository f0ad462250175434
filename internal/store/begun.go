package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rollcall-server/rollcall/internal/store/postgres"
)

// ErrNotBegun says that nobody has made the stores.
var ErrNotBegun = errors.New("there is no installation in these stores, they have no admin token: make it with 'rollcall init', or look at the names in --data and --directory")

// hold is how the use of a PostgreSQL keeps others off. Sessions that are embedded
// are one server's, and the directory says nothing of whose.
func (o *Options) hold() postgres.Hold {
	switch {
	case o.Use == UseBeside:
		return postgres.HoldNone
	case o.Use == UseServe && o.Sessions != "":
		return postgres.HoldShared
	}
	return postgres.HoldAlone
}

// begun refuses a directory in which there is nothing, before opening it makes
// something there.
func (o *Options) begun(ctx context.Context) error {
	switch {
	case !o.Begun:
		return nil
	case o.Directory == "":
		_, err := os.Stat(filepath.Join(o.Data, "rollcall.db"))
		if errors.Is(err, os.ErrNotExist) {
			return ErrNotBegun
		}
		return err
	case o.NoMigrate:
		return nil // its own error says what to do first
	}
	have, _, err := postgres.Version(ctx, o.Directory)
	if err == nil && have == 0 {
		return fmt.Errorf("%w (the database is empty)", ErrNotBegun)
	}
	return err
}

// begun refuses a directory that has tables and no admin token.
func (s *Stores) begun(ctx context.Context) error {
	if !s.options.Begun {
		return nil
	}
	tokens, err := s.Directory.AdminTokens().List(ctx, "", "", 1)
	if err == nil && len(tokens) == 0 {
		return ErrNotBegun
	}
	return err
}

// installation tells the directory from all others.
func (s *Stores) installation(ctx context.Context) (string, error) {
	if s.directory != nil {
		return s.directory.Installation(ctx)
	}
	return s.embedded.Installation(ctx)
}
