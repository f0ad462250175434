//go:build race

package server

// forgetful is how many allocations more there are in the mean where the race
// detector has a sync.Pool forget a quarter of what it is given.
const forgetful = 3
