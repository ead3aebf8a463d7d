// Command score scores one customer: score HOST:PORT MODEL (CVM_TOKEN and CVM_CA as needed).
//
// Stubs: `buf generate` over proto/ with protoc-gen-go and protoc-gen-go-grpc, managed mode and
// go_package_prefix example.com/score.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	cvmv1 "example.com/score/cvm/v1"
)

const retries = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "cvm.v1.ScoringService"}],
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
    }
  }]
}`

func transport() (credentials.TransportCredentials, error) {
	if ca := os.Getenv("CVM_CA"); ca != "" {
		return credentials.NewClientTLSFromFile(ca, "")
	}
	return insecure.NewCredentials(), nil
}

func numbers(name string, values ...float64) *cvmv1.Column {
	doubles := &cvmv1.DoubleValues{Values: values}
	return &cvmv1.Column{Name: name, Values: &cvmv1.Column_Doubles{Doubles: doubles}}
}

func main() {
	secured, err := transport()
	if err != nil {
		log.Fatal(err)
	}
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if token := os.Getenv("CVM_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	horizon := 39.0
	answer, err := cvmv1.NewScoringServiceClient(connection).Score(ctx, &cvmv1.ScoreRequest{
		Model: os.Args[2],
		Frame: &cvmv1.Frame{RowCount: 1, Columns: []*cvmv1.Column{
			numbers("frequency", 2), numbers("recency", 30.43), numbers("T", 38.86),
		}},
		Options: &cvmv1.ScoreOptions{HorizonPeriods: &horizon, Outputs: []string{"expected_purchases"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Outputs[0].GetDoubles().GetValues()[0])
}
