//go:build !race

package harness

// raceDetector tells whether the test itself is watched for data races.
const raceDetector = false
