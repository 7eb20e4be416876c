"""loru's federation over Flower's transport: a ServerApp and a ClientApp that move loru's own messages as bytes."""
