// Score one customer: node score.ts HOST:PORT MODEL (CVM_TOKEN and CVM_CA as needed).
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import * as protoLoader from "@grpc/proto-loader";

// The folder `proto` of this repository.
const PROTO =
  process.env.CVM_PROTO ?? join(dirname(fileURLToPath(import.meta.url)), "../../../proto");

const definition = protoLoader.loadSync("cvm/v1/scoring_service.proto", {
  includeDirs: [PROTO],
  keepCase: true,
  // Scores are numbers; only 64-bit whole numbers need text.
  longs: String,
  enums: String,
  defaults: true,
});
const loaded = grpc.loadPackageDefinition(definition) as any;

const RETRIES = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "cvm.v1.ScoringService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.05s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
      },
    },
  ],
});

const [target, model] = process.argv.slice(2);
const { CVM_TOKEN: token, CVM_CA: ca } = process.env;
const credentials = ca
  ? grpc.credentials.createSsl(readFileSync(ca))
  : grpc.credentials.createInsecure();
const client = new loaded.cvm.v1.ScoringService(target, credentials, {
  "grpc.service_config": RETRIES,
  "grpc.max_receive_message_length": 64 << 20,
});

const metadata = new grpc.Metadata();
if (token) metadata.set("authorization", `Bearer ${token}`);
const customer: Record<string, number[]> = { frequency: [2], recency: [30.43], T: [38.86] };
const request = {
  model,
  frame: {
    row_count: 1,
    columns: Object.entries(customer).map(([name, values]) => ({ name, doubles: { values } })),
  },
  options: { horizon_periods: 39, outputs: ["expected_purchases"] },
};

client.Score(request, metadata, { deadline: Date.now() + 2000 }, (error: any, answer: any) => {
  if (error) {
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
  } else {
    const [output] = answer.outputs;
    console.log(output.doubles.values[0], answer.row_statuses[0] ?? "ROW_STATUS_OK");
  }
  client.close();
});
