/**
 * Types and required fields of the replicated kinds, written by scripts/schemas.ts from Argo CD's CustomResourceDefinitions. A line is a
 * schema: its type, its fields with the line of each (`[]` items, `*` any other field), and the fields that are required.
 */

/** The line of each kind, from 0. */
export const ROOTS: readonly (readonly [kind: string, line: number])[] = [
  ["Application", 68],
  ["ApplicationSet", 130],
  ["AppProject", 160],
  ["ConfigMap", 161],
  ["Secret", 162],
];

export const LINES = `
string
object name:0 value:0
array []:1
boolean
object automated:3 username:0
integer
object duration:0 factor:5 maxDuration:0
object backoff:6 limit:5 refresh:3
array []:0
object group:0 kind:0 name:0 namespace:0
array []:9
object code:3 name:0 value:0
array []:11
object extVars:12 libs:8 tlas:12
object disableExtensionFilter:3 exclude:0 include:0 jsonnet:13 recurse:3
object name:0 path:0
array []:15
object forceString:3 name:0 value:0
array []:17
object
object apiVersions:8 fileParameters:16 ignoreMissingValueFiles:3 kubeVersion:0 namespace:0 parameters:18 passCredentials:3 releaseName:0 skipCrds:3 skipSchemaValidation:3 skipTests:3 valueFiles:8 values:0 valuesObject:19 version:0
object *:0
object *:3
object annotationSelector:0 group:0 kind:0 labelSelector:0 name:0 namespace:0 version:0
object options:22 patch:0 path:0 target:23
array []:24
any
object count:26 name:0
array []:27
object apiVersions:8 commonAnnotations:21 commonAnnotationsEnvsubst:3 commonLabels:21 components:8 forceCommonAnnotations:3 forceCommonLabels:3 ignoreMissingComponents:3 images:8 kubeVersion:0 labelIncludeTemplates:3 labelWithoutSelector:3 namePrefix:0 nameSuffix:0 namespace:0 patches:25 replicas:28 version:0
object array:8 map:21 name:0 string:0
array []:30
object env:2 name:0 parameters:31
object chart:0 directory:14 helm:20 kustomize:29 name:0 path:0 plugin:32 ref:0 repoURL:0 tagPrefix:0 targetRevision:0
array []:33
object force:3
object apply:35 hook:35
object autoHealAttemptsCount:5 dryRun:3 manifests:8 prune:3 resources:10 revision:0 revisions:8 source:33 sources:34 syncOptions:8 syncStrategy:36
object info:2 initiatedBy:4 retry:7 sync:37
object name:0 namespace:0 server:0
object group:0 jqPathExpressions:8 jsonPointers:8 kind:0 managedFieldsManagers:8 name:0 namespace:0
array []:40
object directory:14 helm:20 kustomize:29 path:0 plugin:32 repoURL:0 targetRevision:0
object targetBranch:0
object path:0 repoURL:0 targetBranch:0
object drySource:42 hydrateTo:43 syncSource:44
object allowEmpty:3 enabled:3 prune:3 selfHeal:3
object annotations:21 labels:21
object automated:46 managedNamespaceMetadata:47 retry:7 syncOptions:8
object destination:39 ignoreDifferences:41 info:2 project:0 revisionHistoryLimit:5 source:33 sourceHydrator:45 sources:34 syncPolicy:48
object lastTransitionTime:0 message:0 type:0
array []:50
object lastTransitionTime:0 message:0 status:0
object deployStartedAt:0 deployedAt:0 id:5 initiatedBy:4 revision:0 revisions:8 source:33 sources:34
array []:53
object group:0 hookPhase:0 hookType:0 images:8 kind:0 message:0 name:0 namespace:0 status:0 syncPhase:0 version:0
array []:55
object managedNamespaceMetadata:47 resources:56 revision:0 revisions:8 source:33 sources:34
object finishedAt:0 message:0 operation:38 phase:0 retryCount:5 startedAt:0 syncResult:57
object group:0 health:52 hook:3 kind:0 name:0 namespace:0 requiresDeletionConfirmation:3 requiresPruning:3 status:0 syncWave:5 version:0
array []:59
object drySHA:0 finishedAt:0 hydratedSHA:0 message:0 phase:0 sourceHydrator:45 startedAt:0
object drySHA:0 hydratedSHA:0 sourceHydrator:45
object currentOperation:61 lastComparedDryRevision:0 lastSuccessfulOperation:62
object externalURLs:8 images:8 isAppOfApps:3
object destination:39 ignoreDifferences:41 source:33 sources:34
object comparedTo:65 revision:0 revisions:8 status:0
object conditions:51 controllerNamespace:0 health:52 history:54 observedAt:0 operationState:58 reconciledAt:0 resourceHealthSource:0 resources:60 sourceHydrator:63 sourceType:0 sourceTypes:8 summary:64 sync:66
object operation:38 spec:49 status:67 !spec
object key:0 operator:0 values:8
array []:69
object matchExpressions:70 matchLabels:21
object annotations:21 finalizers:8 labels:21 name:0 namespace:0
object metadata:72 spec:49
object configMapRef:0 labelSelector:71 name:0 requeueAfterSeconds:5 template:73 values:21
object flatList:3 selector:71 template:73 values:21
object exclude:3 path:0
array []:76
object directories:77 files:77 pathParamPrefix:0 repoURL:0 requeueAfterSeconds:5 revision:0 template:73 values:21
array []:26
object elements:79 elementsYaml:0 template:73
object name:0
object *:26
object parameters:82
object configMapRef:81 input:83 requeueAfterSeconds:5 template:73 values:21
object key:0 secretName:0
object api:0 labels:8 organization:0 project:0 repo:0 tokenRef:85
object passwordRef:85 username:0
object tokenRef:85
object api:0 basicAuth:87 bearerToken:88 owner:0 repo:0
object configMapName:0 key:0
object api:0 basicAuth:87 bearerToken:88 caRef:90 insecure:3 project:0 repo:0
object branchMatch:0 targetBranchMatch:0 titleMatch:0
array []:92
object api:0 insecure:3 labels:8 owner:0 repo:0 tokenRef:85
object api:0 appSecretName:0 labels:8 owner:0 repo:0 tokenRef:85
object api:0 caRef:90 insecure:3 labels:8 project:0 pullRequestState:0 tokenRef:85
object azuredevops:86 bitbucket:89 bitbucketServer:91 continueOnRepoNotFoundError:3 filters:93 gitea:94 github:95 gitlab:96 requeueAfterSeconds:5 template:73 values:21
object key:0 value:0
array []:98
object allBranches:3 region:0 role:0 tagFilters:99
object accessTokenRef:85 allBranches:3 api:0 organization:0 teamProject:0
object allBranches:3 appPasswordRef:85 owner:0 user:0
object allBranches:3 api:0 basicAuth:87 bearerToken:88 caRef:90 insecure:3 project:0
object branchMatch:0 labelMatch:0 pathsDoNotExist:8 pathsExist:8 repositoryMatch:0
array []:104
object allBranches:3 api:0 excludeArchivedRepos:3 insecure:3 owner:0 tokenRef:85
object allBranches:3 api:0 appSecretName:0 excludeArchivedRepos:3 organization:0 tokenRef:85
object allBranches:3 api:0 caRef:90 group:0 includeArchivedRepos:3 includeSharedProjects:3 includeSubgroups:3 insecure:3 tokenRef:85 topic:0
object awsCodeCommit:100 azureDevOps:101 bitbucket:102 bitbucketServer:103 cloneProtocol:0 filters:105 gitea:106 github:107 gitlab:108 requeueAfterSeconds:5 template:73 values:21
object clusterDecisionResource:74 clusters:75 git:78 list:80 matrix:26 merge:26 plugin:84 pullRequest:97 scmProvider:109 selector:71
array []:110
object generators:111 template:73
object generators:111 mergeKeys:8 template:73
object clusterDecisionResource:74 clusters:75 git:78 list:80 matrix:112 merge:113 plugin:84 pullRequest:97 scmProvider:109 selector:71
array []:114
object jqPathExpressions:8 jsonPointers:8 name:0
array []:116
object annotations:8 labels:8
object matchExpressions:70 maxUpdate:26
array []:119
object steps:120
object deletionOrder:0 rollingSync:121 type:0
object applicationsSync:0 preserveResourcesOnDeletion:3
object applyNestedSelectors:3 generators:115 goTemplate:3 goTemplateOptions:8 ignoreApplicationDifferences:117 preservedFields:118 strategy:122 syncPolicy:123 template:73 templatePatch:0
object application:0 lastTransitionTime:0 message:0 status:0 step:0 targetRevisions:8
array []:125
object lastTransitionTime:0 message:0 reason:0 status:0 type:0
array []:127
object applicationStatus:126 conditions:128 health:52 resources:60 resourcesCount:5
object spec:124 status:129 !spec
object group:0 kind:0 name:0
array []:131
object defaultServiceAccount:0 namespace:0 server:0
array []:133
array []:39
object group:0 kind:0
array []:136
object ignore:132 warn:3
object exp:5 iat:5 id:0
array []:139
object description:0 groups:8 jwtTokens:140 name:0 policies:8
array []:141
object keyID:0
array []:143
object keys:8 mode:0
object url:0
array []:146
object gpg:145 repos:147
array []:148
object policies:149
object git:150
object andOperator:3 applications:8 clusters:8 description:0 duration:0 kind:0 manualSync:3 namespaces:8 schedule:0 syncOverrun:3 timeZone:0
array []:152
object clusterResourceBlacklist:132 clusterResourceWhitelist:132 description:0 destinationServiceAccounts:134 destinations:135 namespaceResourceBlacklist:137 namespaceResourceWhitelist:137 orphanedResources:138 permitOnlyProjectScopedClusters:3 roles:142 signatureKeys:144 sourceIntegrity:151 sourceNamespaces:8 sourceRepos:8 syncWindows:153
object exp:5 iat:5 id:0 !iat
array []:155
object items:156
object *:157
object jwtTokensByRole:158
object spec:154 status:159 !spec
object binaryData:21 data:21 immutable:3
object data:21 immutable:3 stringData:21 type:0
`;
