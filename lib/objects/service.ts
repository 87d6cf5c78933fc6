import type { Context } from './context';
import { factsOf } from './context';
import type { KubeObject } from './kube';
import { kubeObject } from './kube';
import { metadataOf, selectorOf } from './labels';

/** For callers that bypass the router: it selects stable, without split, retries or admission. */
export function service(context: Context): KubeObject | undefined {
  const { spec, environment } = context;
  const { networkPolicy } = environment;
  if (networkPolicy === false || networkPolicy.from.length === 0) return undefined;
  const [stable] = spec.arms;
  const { httpPort, grpcPort } = factsOf(spec, stable);
  return kubeObject('Service', metadataOf(context, spec.slug), {
    spec: {
      selector: selectorOf(spec, stable),
      ports: [
        { name: 'http', port: httpPort, targetPort: 'http', protocol: 'TCP' },
        ...(grpcPort === undefined
          ? []
          : [{ name: 'grpc', port: grpcPort, targetPort: 'grpc', protocol: 'TCP' }]),
      ],
    },
  });
}
