//go:build !linux

package sqlite

import "os"

// reserve has no mapping to give: what a sync makes of mapped pages differs from
// system to system (on macOS neither fsync nor msync goes to the disk itself,
// which os.File.Sync does), and so do the ways to set blocks aside.
func reserve(*os.File, int64, int64) (*window, error) { return nil, errUnmapped }

func populate([]byte) {}
