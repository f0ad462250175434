//go:build !race

package server

const forgetful = 0
