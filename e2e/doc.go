// Package e2e tests, in a real browser, what a person sees of a running rollcall.
package e2e
