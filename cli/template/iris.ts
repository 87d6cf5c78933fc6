/**
 * A logistic regression on Fisher's iris data (scikit-learn, converted by skl2onnx; 522 bytes): one
 * input `measurements` [batch, 4] in centimetres, outputs `label` and `probabilities`. Small enough
 * to be included, so that a new project has a model that answers.
 */
export const IRIS_ONNX = Buffer.from(
  [
    'CAgSCHNrbDJvbm54GgYxLjIwLjAiB2FpLm9ubngoADIAOsoDCqMCCgxtZWFzdXJlbWVudHMSBWxhYmVsEhJwcm9iYWJp',
    'bGl0eV90ZW5zb3IaACIQTGluZWFyQ2xhc3NpZmllcio3ChNjbGFzc2xhYmVsc19zdHJpbmdzSgZzZXRvc2FKCnZlcnNp',
    'Y29sb3JKCXZpcmdpbmljYaABCCpNCgxjb2VmZmljaWVudHM9p+HYvj0ONXg/PV4ZIcA9HsOJvz2R/Qk/PXSio749Zi5U',
    'vj3xmXG/PURd7L09wmMmvz1LXC5APRBIAUCgAQYqHgoKaW50ZXJjZXB0cz1Kbh1BPXAuDUA94LlAwaABBioSCgttdWx0',
    'aV9jbGFzcxgBoAECKhwKDnBvc3RfdHJhbnNmb3JtIgdTT0ZUTUFYoAEDOgphaS5vbm54Lm1sCkwKEnByb2JhYmlsaXR5',
    'X3RlbnNvchINcHJvYmFiaWxpdGllcxoAIgpOb3JtYWxpemVyKg0KBG5vcm0iAkwxoAEDOgphaS5vbm54Lm1sEgRpcmlz',
    'WhwKDG1lYXN1cmVtZW50cxIMCgoIARIGCgAKAggEYhEKBWxhYmVsEggKBggIEgIKAGIdCg1wcm9iYWJpbGl0aWVzEgwK',
    'CggBEgYKAAoCCANCDgoKYWkub25ueC5tbBABQgQKABARQgQKABAR',
  ].join(''),
  'base64',
);
