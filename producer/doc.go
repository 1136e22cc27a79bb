// Package producer puts records into a Kinesis stream.
package producer
