module github.com/kinesis-go/kinesis/bench

go 1.25.0

replace github.com/kinesis-go/kinesis => ../
