package memory_test

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

func TestStores(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, now func() time.Time) storetest.Backend {
		s := memory.New(memory.Options{MaxClockSkew: storetest.MaxClockSkew, Now: now})
		return storetest.Backend{Stores: s.Stores()}
	})
}
