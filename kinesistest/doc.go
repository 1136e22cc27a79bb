// Package kinesistest runs Kinesis and DynamoDB inside a test.
package kinesistest
